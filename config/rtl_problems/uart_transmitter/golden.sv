module uart_transmitter (
  input  logic       clk,
  input  logic       rst,
  input  logic       valid,
  input  logic [7:0] data,
  output logic       ready,
  output logic       line
);
  logic [10:0] shifter;
  logic [3:0]  bits_left;
  logic [2:0]  cycle;

  assign ready = bits_left == 4'd0;
  assign line  = shifter[0];

  always_ff @(posedge clk) begin
    if (rst) begin
      shifter <= 11'h7ff;
      bits_left <= 4'd0;
    end else if (ready) begin
      if (valid) begin
        shifter   <= {1'b1, ^data, data, 1'b0};
        bits_left <= 4'd11;
        cycle     <= 3'd0;
      end
    end else begin
      cycle <= cycle + 3'd1;
      if (cycle == 3'd7) begin
        cycle     <= 3'd0;
        shifter   <= {1'b1, shifter[10:1]};
        bits_left <= bits_left == 4'd1 ? 4'd0 : bits_left - 4'd1;
      end
    end
  end
endmodule
