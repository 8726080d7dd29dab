module packet_parser (
  input  logic       clk,
  input  logic       rst,
  input  logic       in_valid,
  input  logic [7:0] in_data,
  output logic       out_valid,
  output logic [7:0] out_data,
  output logic       packet_good,
  output logic       packet_bad
);
  localparam logic [1:0] WAITING = 2'd0, LENGTH = 2'd1, PAYLOAD = 2'd2, CHECK = 2'd3;

  logic [1:0] state;
  logic [4:0] remaining;
  logic [7:0] sum;

  always_ff @(posedge clk) begin
    out_valid   <= 1'b0;
    packet_good <= 1'b0;
    packet_bad  <= 1'b0;
    if (rst) begin
      state    <= WAITING;
      out_data <= 8'd0;
    end else if (in_valid) begin
      case (state)
        WAITING: if (in_data == 8'ha5) state <= LENGTH;
        LENGTH: begin
          sum       <= in_data;
          remaining <= in_data[4:0];
          if (in_data == 8'd0 || in_data > 8'd16) begin
            packet_bad <= 1'b1;
            state      <= WAITING;  // wrong length
          end else begin
            state <= PAYLOAD;
          end
        end
        PAYLOAD: begin
          out_valid <= 1'b1;
          out_data  <= in_data;
          sum       <= sum + in_data;
          remaining <= remaining - 5'd1;
          if (remaining == 5'd1) state <= CHECK;
        end
        default: begin
          packet_good <= sum + in_data == 8'd0;
          packet_bad  <= sum + in_data != 8'd0;
          state       <= WAITING;
        end
      endcase
    end
  end
endmodule
