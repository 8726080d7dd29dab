module uart_receiver (
  input  logic       clk,
  input  logic       rst,
  input  logic       line,
  output logic       valid,
  output logic [7:0] data,
  output logic       framing_error
);
  localparam logic [1:0] WAITING = 2'd0, BYTE = 2'd1, BROKEN = 2'd2;

  logic [1:0] state;
  logic [7:0] count, shifter;

  always_ff @(posedge clk) begin
    valid         <= 1'b0;
    framing_error <= 1'b0;
    if (rst) begin
      state <= WAITING;
    end else begin
      case (state)
        WAITING: begin
          count <= 8'd1;
          if (!line) state <= BYTE;
        end
        BYTE: begin
          // count is the number of this edge
          count <= count + 8'd1;
          if (count == 8'd8) begin
            if (line) state <= WAITING;  // disturbance
          end else if (count == 8'd152) begin
            valid         <= line;
            framing_error <= !line;
            if (line) data <= shifter;
            state <= line ? WAITING : BROKEN;
          end else if (count[3:0] == 4'd8) begin
            shifter <= {line, shifter[7:1]};
          end
        end
        default: if (line) state <= WAITING;
      endcase
    end
  end
endmodule
