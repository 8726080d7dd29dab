module serial_multiplier (
  input  logic        clk,
  input  logic        rst,
  input  logic        start,
  input  logic [7:0]  a,
  input  logic [7:0]  b,
  output logic        busy,
  output logic        done,
  output logic [15:0] product
);
  logic [15:0] multiplicand, sum, next_sum;
  logic [7:0]  multiplier;
  logic [3:0]  count;

  assign next_sum = sum + (multiplier[0] ? multiplicand : 16'd0);

  always_ff @(posedge clk) begin
    done <= 1'b0;
    if (rst) begin
      busy <= 1'b0;
    end else if (start && !busy) begin
      busy         <= 1'b1;
      multiplicand <= {8'd0, a};
      multiplier   <= b;
      sum          <= 16'd0;
      count        <= 4'd0;
    end else if (busy) begin
      multiplicand <= multiplicand << 1;
      multiplier   <= multiplier >> 1;
      sum          <= next_sum;
      count        <= count + 4'd1;
      if (count == 4'd7) begin
        busy    <= 1'b0;
        done    <= 1'b1;
        product <= next_sum;
      end
    end
  end
endmodule
