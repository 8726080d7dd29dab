module moving_average (
  input  logic        clk,
  input  logic        rst_n,
  input  logic        valid,
  input  logic [11:0] sample,
  output logic [11:0] average,
  output logic        full
);
  logic [11:0] history[0:7];
  logic [14:0] sum;
  logic [3:0]  count;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      for (int i = 0; i < 8; i++) history[i] <= 12'd0;
      sum   <= 15'd0;
      count <= 4'd0;
    end else if (valid) begin
      history[0] <= sample;
      for (int i = 1; i < 8; i++) history[i] <= history[i-1];
      sum <= sum + {3'd0, sample} - {3'd0, history[7]};
      if (count != 4'd8) count <= count + 4'd1;
    end
  end

  assign average = sum[14:3];
  assign full    = count == 4'd8;
endmodule
